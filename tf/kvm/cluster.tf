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

  nodes      = module.nodes.nodes
  ssh_user   = var.ssh_user
  public_ips = { (module.nodes.entry) = openstack_networking_floatingip_v2.entry.address }
  jump_host  = "${var.ssh_user}@${openstack_networking_floatingip_v2.entry.address}"
  data_node  = module.nodes.data_node
  # The name under which QEMU shows a volume: the first 20 characters of its id are the disk's serial number.
  data_disk = "/dev/disk/by-id/virtio-${substr(openstack_blockstorage_volume_v3.data.id, 0, 20)}"
  pod_cidr  = var.pod_cidr
}
