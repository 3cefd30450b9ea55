"""Training: LightGCN, text encoder, projector, LLaRA and the export to one ONNX bundle. The only room with torch."""
