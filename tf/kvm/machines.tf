data "openstack_images_image_v2" "node" {
  name        = var.image_name
  most_recent = true
}

# Two control planes on one host would fall together and take etcd's majority along: rather no machine than that.
resource "openstack_compute_servergroup_v2" "control_plane" {
  name     = "${var.cluster_name}-control-plane"
  policies = ["anti-affinity"]
}

# Workers may outnumber the cloud's hosts, so they only prefer to stand apart.
resource "openstack_compute_servergroup_v2" "worker" {
  name     = "${var.cluster_name}-worker"
  policies = ["soft-anti-affinity"]
}

resource "openstack_compute_instance_v2" "node" {
  for_each = module.nodes.nodes

  name                = each.key
  image_id            = data.openstack_images_image_v2.node.id
  flavor_name         = each.value.role == "control_plane" ? var.control_plane_flavor : var.worker_flavor
  availability_zone   = var.availability_zone
  user_data           = module.nodes.cloud_init[each.key]
  config_drive        = true # the first boot then needs no metadata service, which egress rules could cut off
  stop_before_destroy = true

  network {
    port = openstack_networking_port_v2.node[each.key].id
  }

  scheduler_hints {
    group = (each.value.role == "control_plane"
      ? openstack_compute_servergroup_v2.control_plane.id
    : openstack_compute_servergroup_v2.worker.id)
  }

  # A newer image or another key must not replace running machines; `terraform apply -replace=…` does, node by node.
  lifecycle {
    ignore_changes = [image_id, user_data]
  }
}

# The object store's disk outlives the machine that it is attached to.
resource "openstack_blockstorage_volume_v3" "data" {
  name                 = "${var.cluster_name}-data"
  description          = "Object store of ${var.cluster_name}"
  size                 = var.data_volume_gib
  availability_zone    = var.availability_zone
  enable_online_resize = true
}

resource "openstack_compute_volume_attach_v2" "data" {
  instance_id = openstack_compute_instance_v2.node[module.nodes.data_node].id
  volume_id   = openstack_blockstorage_volume_v3.data.id
}
