variables {
  nodes = {
    "tiny-control-plane-0" = { role = "control_plane", ip = "10.20.0.10" }
    "tiny-worker-0"        = { role = "worker", ip = "10.20.0.50" }
  }
  ssh_user  = "segue"
  data_node = "tiny-worker-0"
  data_disk = "/dev/disk/by-id/virtio-4f2c"
  pod_cidr  = "10.244.0.0/16"
}

run "nodes_are_reached_directly_by_default" {
  command = plan

  assert {
    condition = yamldecode(output.yaml) == { cluster = {
      vars = { pod_network = "10.244.0.0/16" }
      children = {
        control_plane = { hosts = { "tiny-control-plane-0" = {
          ansible_host = "10.20.0.10", ansible_user = "segue", node_ip = "10.20.0.10"
        } } }
        workers = { hosts = { "tiny-worker-0" = {
          ansible_host = "10.20.0.50", ansible_user = "segue", node_ip = "10.20.0.50",
          data_disk    = "/dev/disk/by-id/virtio-4f2c"
        } } }
      }
    } }
    error_message = "The inventory is ${output.yaml}"
  }
}

run "who_has_no_public_address_is_reached_through_the_jump_host" {
  command = plan

  variables {
    public_ips = { "tiny-control-plane-0" = "203.0.113.7" }
    jump_host  = "segue@203.0.113.7"
  }

  assert {
    condition = yamldecode(output.yaml).cluster.children.control_plane.hosts == { "tiny-control-plane-0" = {
      ansible_host = "203.0.113.7", ansible_user = "segue", node_ip = "10.20.0.10"
    } }
    error_message = "The inventory is ${output.yaml}"
  }

  assert {
    condition = (
      yamldecode(output.yaml).cluster.children.workers.hosts["tiny-worker-0"].ansible_host == "10.20.0.50" &&
      yamldecode(output.yaml).cluster.children.workers.hosts["tiny-worker-0"].ansible_ssh_common_args == "-o ProxyJump=segue@203.0.113.7"
    )
    error_message = "The inventory is ${output.yaml}"
  }
}

run "a_disk_needs_a_name_that_survives_a_reboot" {
  command = plan

  variables {
    data_disk = "/dev/vdb"
  }

  expect_failures = [var.data_disk]
}
