variables {
  cluster_name        = "tiny"
  control_plane_count = 3
  worker_count        = 2
  ssh_user            = "segue"
  ssh_public_keys     = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"]
  network_cidr        = "10.20.0.0/24"
  pod_cidr            = "10.244.0.0/16"
}

run "every_node_has_a_name_a_role_and_an_address" {
  command = plan

  assert {
    condition = output.nodes == {
      "tiny-control-plane-0" = { role = "control_plane", ip = "10.20.0.10" }
      "tiny-control-plane-1" = { role = "control_plane", ip = "10.20.0.11" }
      "tiny-control-plane-2" = { role = "control_plane", ip = "10.20.0.12" }
      "tiny-worker-0"        = { role = "worker", ip = "10.20.0.50" }
      "tiny-worker-1"        = { role = "worker", ip = "10.20.0.51" }
    }
    error_message = "The nodes are ${jsonencode(output.nodes)}."
  }

  assert {
    condition     = output.entry == "tiny-control-plane-0" && output.data_node == "tiny-worker-0"
    error_message = "The entry is ${output.entry} and the data stands on ${output.data_node}."
  }
}

run "one_worker_more_moves_nobody" {
  command = plan

  variables {
    worker_count = 3
  }

  assert {
    condition     = output.nodes["tiny-worker-1"].ip == "10.20.0.51" && output.nodes["tiny-worker-2"].ip == "10.20.0.52"
    error_message = "The nodes are ${jsonencode(output.nodes)}."
  }
}

run "without_workers_the_control_plane_carries_the_data" {
  command = plan

  variables {
    control_plane_count = 1
    worker_count        = 0
  }

  assert {
    condition     = join(",", keys(output.nodes)) == "tiny-control-plane-0" && output.data_node == "tiny-control-plane-0"
    error_message = "The nodes are ${jsonencode(output.nodes)} and the data stands on ${output.data_node}."
  }
}

run "the_first_boot_lets_in_keys_and_nothing_else" {
  command = plan

  assert {
    condition     = startswith(output.cloud_init["tiny-worker-1"], "#cloud-config\n")
    error_message = "cloud-init reads user data as configuration only when its first line says so."
  }

  assert {
    condition = jsonencode(yamldecode(output.cloud_init["tiny-worker-1"])) == jsonencode({
      hostname         = "tiny-worker-1"
      manage_etc_hosts = "localhost"
      disable_root     = true
      ssh_pwauth       = false
      users = [{
        name                = "segue"
        shell               = "/bin/bash"
        lock_passwd         = true
        sudo                = "ALL=(ALL) NOPASSWD:ALL"
        ssh_authorized_keys = var.ssh_public_keys
      }]
    })
    error_message = "The first boot is ${output.cloud_init["tiny-worker-1"]}"
  }
}

run "networks_that_only_touch_are_fine" {
  command = plan

  variables {
    network_cidr = "10.243.0.0/16"
  }

  assert {
    condition     = output.nodes["tiny-worker-0"].ip == "10.243.0.50"
    error_message = "The nodes are ${jsonencode(output.nodes)}."
  }
}
