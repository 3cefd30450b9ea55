module "nodes" {
  source = "../modules/nodes"

  cluster_name        = var.cluster_name
  control_plane_count = var.control_plane_count
  worker_count        = var.worker_count
  ssh_user            = var.ssh_user
  ssh_public_keys     = var.ssh_public_keys
  network_cidr        = var.network_cidr
  pod_cidr            = var.pod_cidr
}

module "inventory" {
  source = "../modules/inventory"

  nodes     = module.nodes.nodes
  ssh_user  = var.ssh_user
  jump_host = var.jump_host
  data_node = module.nodes.data_node
  data_disk = "/dev/disk/by-id/wwn-0x${local.data_disk_wwn}"
  pod_cidr  = var.pod_cidr
}

locals {
  # A number of our own for the disk, so that it has a name that does not hang on the order of disks. The leading 3 marks
  # numbers that are given locally (NAA 3); the rest is the cluster's name, hashed.
  data_disk_wwn = "3${substr(sha256("${var.cluster_name}-data"), 0, 15)}"
}
