# The real provider checks every argument against its schema; only its calls to libvirt are mocked.
mock_provider "libvirt" {}

variables {
  cluster_name        = "tiny"
  control_plane_count = 1
  worker_count        = 2
  ssh_public_keys     = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"]
  image               = "/var/cache/images/debian-12.qcow2"
}

run "counts_and_sizes" {
  assert {
    condition = jsonencode({ for name, machine in libvirt_domain.node : name => [machine.vcpu, machine.memory] }) == jsonencode({
      "tiny-control-plane-0" = [2, 4096]
      "tiny-worker-0"        = [4, 8192]
      "tiny-worker-1"        = [4, 8192]
    })
    error_message = "The machines are ${jsonencode(keys(libvirt_domain.node))}."
  }

  assert {
    condition     = alltrue([for volume in values(libvirt_volume.root) : volume.size == 42949672960 && volume.base_volume_id == libvirt_volume.image.id])
    error_message = "A root disk is not one of 40 GiB over the image."
  }
}

run "machines_have_the_addresses_that_the_inventory_says" {
  assert {
    condition     = alltrue([for name, machine in libvirt_domain.node : machine.network_interface[0].addresses == tolist([module.nodes.nodes[name].ip])])
    error_message = "A machine has another address than the inventory says."
  }

  assert {
    condition     = libvirt_network.nodes.mode == "nat" && libvirt_network.nodes.addresses == tolist(["10.30.0.0/24"])
    error_message = "The network is another one, or is reached from outside the host."
  }
}

run "the_object_store_has_a_disk_on_the_first_worker" {
  assert {
    condition = [for name, machine in libvirt_domain.node : name
    if contains([for disk in machine.disk : disk.volume_id], libvirt_volume.data.id)] == ["tiny-worker-0"]
    error_message = "The volume is not attached to the first worker alone."
  }

  assert {
    condition = (
      libvirt_domain.node["tiny-worker-0"].disk[1].scsi &&
      endswith(yamldecode(output.inventory).cluster.children.workers.hosts["tiny-worker-0"].data_disk, libvirt_domain.node["tiny-worker-0"].disk[1].wwn) &&
      can(regex("^3[0-9a-f]{15}$", libvirt_domain.node["tiny-worker-0"].disk[1].wwn))
    )
    error_message = "The disk has another name than the inventory says."
  }
}

run "the_inventory_is_what_ansible_reads" {
  variables {
    jump_host = "admin@kvm.example"
  }

  assert {
    condition = jsonencode(yamldecode(output.inventory)) == jsonencode({ cluster = {
      vars = { pod_network = "10.244.0.0/16" }
      children = {
        control_plane = { hosts = {
          "tiny-control-plane-0" = {
            ansible_host            = "10.30.0.10", ansible_user = "segue", node_ip = "10.30.0.10",
            ansible_ssh_common_args = "-o ProxyJump=admin@kvm.example"
          }
        } }
        workers = { hosts = {
          "tiny-worker-0" = {
            ansible_host            = "10.30.0.50", ansible_user = "segue", node_ip = "10.30.0.50",
            ansible_ssh_common_args = "-o ProxyJump=admin@kvm.example",
            data_disk               = "/dev/disk/by-id/wwn-0x${libvirt_domain.node["tiny-worker-0"].disk[1].wwn}"
          }
          "tiny-worker-1" = {
            ansible_host            = "10.30.0.51", ansible_user = "segue", node_ip = "10.30.0.51",
            ansible_ssh_common_args = "-o ProxyJump=admin@kvm.example"
          }
        } }
      }
    } })
    error_message = "The inventory is ${output.inventory}"
  }
}
