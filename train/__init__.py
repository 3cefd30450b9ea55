"""Training: LightGCN, text encoder, projector, LLaRA and the export to one ONNX bundle. The only room with torch."""

import segue  # noqa: F401 - before any library that reports its use (segue.privacy)
