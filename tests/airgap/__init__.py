"""The bundle for clusters without internet."""
