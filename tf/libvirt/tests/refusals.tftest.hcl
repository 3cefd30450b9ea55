mock_provider "libvirt" {}

variables {
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"]
  image           = "/var/cache/images/debian-12.qcow2"
}

run "an_image_over_plain_http" {
  command = plan
  variables {
    image = "http://images.example/debian-12.qcow2"
  }
  expect_failures = [var.image]
}

run "libvirt_over_plain_tcp" {
  command = plan
  variables {
    libvirt_uri = "qemu+tcp://kvm.example/system"
  }
  expect_failures = [var.libvirt_uri]
}

run "a_jump_host_with_options_of_its_own" {
  command = plan
  variables {
    jump_host = "admin@kvm.example -o ProxyCommand=x"
  }
  expect_failures = [var.jump_host]
}

run "a_relative_storage_path" {
  command = plan
  variables {
    storage_path = "images"
  }
  expect_failures = [var.storage_path]
}

run "a_control_plane_too_small_for_kubeadm" {
  command = plan
  variables {
    control_plane_size = { cores = 1, memory_mib = 4096 }
  }
  expect_failures = [var.control_plane_size]
}

run "a_worker_without_memory" {
  command = plan
  variables {
    worker_size = { cores = 4, memory_mib = 512 }
  }
  expect_failures = [var.worker_size]
}

run "a_root_disk_too_small_for_images" {
  command = plan
  variables {
    root_disk_gib = 8
  }
  expect_failures = [var.root_disk_gib]
}

run "a_disk_too_small_for_the_object_store" {
  command = plan
  variables {
    data_volume_gib = 5
  }
  expect_failures = [var.data_volume_gib]
}
