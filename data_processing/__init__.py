"""Playlists of many formats in, one clean, split and described dataset out."""
