"""The whole thing on a real Kubernetes."""
