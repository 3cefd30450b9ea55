resource "libvirt_pool" "cluster" {
  name = var.cluster_name
  type = "dir"

  target {
    path = "${var.storage_path}/${var.cluster_name}"
  }
}

# Kept once; the machines' disks hold only what they change.
resource "libvirt_volume" "image" {
  name   = "${var.cluster_name}-image"
  pool   = libvirt_pool.cluster.name
  source = var.image

  # Every machine's disk lies over this one: a newer image must not take the running ones away.
  lifecycle {
    ignore_changes = [source]
  }
}

resource "libvirt_volume" "root" {
  for_each = module.nodes.nodes

  name           = each.key
  pool           = libvirt_pool.cluster.name
  base_volume_id = libvirt_volume.image.id
  size           = var.root_disk_gib * pow(1024, 3)
}

# The object store's disk outlives the machine that it is attached to.
resource "libvirt_volume" "data" {
  name = "${var.cluster_name}-data"
  pool = libvirt_pool.cluster.name
  size = var.data_volume_gib * pow(1024, 3)
}

resource "libvirt_cloudinit_disk" "node" {
  for_each = module.nodes.nodes

  name      = "${each.key}-cloud-init.iso"
  pool      = libvirt_pool.cluster.name
  user_data = module.nodes.cloud_init[each.key]
  meta_data = yamlencode({ "instance-id" = each.key, "local-hostname" = each.key })

  # Read at the first boot only: another key must not disturb running machines.
  lifecycle {
    ignore_changes = [user_data]
  }
}

resource "libvirt_domain" "node" {
  for_each = module.nodes.nodes

  name      = each.key
  vcpu      = each.value.role == "control_plane" ? var.control_plane_size.cores : var.worker_size.cores
  memory    = each.value.role == "control_plane" ? var.control_plane_size.memory_mib : var.worker_size.memory_mib
  cloudinit = libvirt_cloudinit_disk.node[each.key].id
  autostart = true

  # The host's own instructions: onnxruntime and torch are several times slower without its vector units.
  cpu {
    mode = "host-passthrough"
  }

  network_interface {
    network_id = libvirt_network.nodes.id
    hostname   = each.key
    addresses  = [each.value.ip]
  }

  disk {
    volume_id = libvirt_volume.root[each.key].id
  }

  dynamic "disk" {
    for_each = each.key == module.nodes.data_node ? [libvirt_volume.data.id] : []

    content {
      volume_id = disk.value
      scsi      = true
      wwn       = local.data_disk_wwn
    }
  }

  # Cloud images log their boot here; `virsh console NAME` shows it when SSH does not answer.
  console {
    type        = "pty"
    target_type = "serial"
    target_port = "0"
  }
}
