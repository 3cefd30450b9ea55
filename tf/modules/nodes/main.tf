# What the nodes of a cluster are, before any cloud is asked: names, roles, addresses, first boot.
# It has no provider, so that every way to machines refuses and decides the same things in the same words.

terraform {
  required_version = ">= 1.11, < 2.0"
}

locals {
  control_plane = { for index in range(var.control_plane_count) : "${var.cluster_name}-control-plane-${index}" => {
    role = "control_plane"
    ip   = cidrhost(var.network_cidr, 10 + index)
  } }
  workers = { for index in range(var.worker_count) : "${var.cluster_name}-worker-${index}" => {
    role = "worker"
    ip   = cidrhost(var.network_cidr, 50 + index)
  } }

  # Maps by name and not lists: one node more or less touches no other node.
  nodes = merge(local.control_plane, local.workers)

  cloud_init = { for name in keys(local.nodes) : name => join("\n", ["#cloud-config", yamlencode({
    hostname         = name
    manage_etc_hosts = "localhost"
    disable_root     = true
    ssh_pwauth       = false
    users = [{
      name                = var.ssh_user
      shell               = "/bin/bash"
      lock_passwd         = true
      sudo                = "ALL=(ALL) NOPASSWD:ALL"
      ssh_authorized_keys = var.ssh_public_keys
    }]
  })]) }
}
