# What the whole network of the nodes would be open to if it were not refused. modules/nodes refuses the rest.
mock_provider "openstack" {}

variables {
  ssh_public_keys      = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"]
  external_network     = "public"
  image_name           = "debian-12"
  control_plane_flavor = "medium"
  worker_flavor        = "large"
  admin_cidrs          = ["198.51.100.0/24"]
}

run "no_admins" {
  command = plan
  variables {
    admin_cidrs = []
  }
  expect_failures = [var.admin_cidrs]
}

run "everybody_an_admin" {
  command = plan
  variables {
    admin_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.admin_cidrs]
}

run "everybody_an_admin_in_two_halves" {
  command = plan
  variables {
    admin_cidrs = ["0.0.0.0/1", "128.0.0.0/1"]
  }
  expect_failures = [var.admin_cidrs]
}

run "an_address_that_is_no_network" {
  command = plan
  variables {
    admin_cidrs = ["198.51.100.7"]
  }
  expect_failures = [var.admin_cidrs]
}

run "a_network_that_does_not_begin_at_its_first_address" {
  command = plan
  variables {
    gateway_cidrs = ["198.51.100.7/24"]
  }
  expect_failures = [var.gateway_cidrs]
}

run "a_gateway_at_the_port_of_etcd" {
  command = plan
  variables {
    gateway_ports = [2379]
  }
  expect_failures = [var.gateway_ports]
}

run "egress_to_a_name" {
  command = plan
  variables {
    egress_cidrs = ["mirror.example"]
  }
  expect_failures = [var.egress_cidrs]
}

run "a_name_server_by_name" {
  command = plan
  variables {
    dns_servers = ["dns.example"]
  }
  expect_failures = [var.dns_servers]
}

run "a_disk_too_small_for_the_object_store" {
  command = plan
  variables {
    data_volume_gib = 5
  }
  expect_failures = [var.data_volume_gib]
}
