terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    libvirt = {
      source  = "dmacvicar/libvirt"
      version = "0.8.3"
    }
  }

  # State lies beside these files: one host, one person. docs/machines.md says how it moves to S3.
}

provider "libvirt" {
  uri = var.libvirt_uri
}
