"""One reader a format; each yields `data_processing.records.RawPlaylist` with flat memory."""
