"""Made-up playlists with real structure, for demonstrations and tests. Marked as synthetic in everything they touch."""
