# The real provider checks every argument against its schema; only its calls to a cloud are mocked.
mock_provider "openstack" {
  mock_resource "openstack_networking_floatingip_v2" {
    defaults = { address = "203.0.113.7" }
  }
  mock_resource "openstack_blockstorage_volume_v3" {
    defaults = { id = "4f2c1d7e-9a63-4b0e-8f15-0c2d3e4f5a6b" }
  }
}

variables {
  cluster_name         = "tiny"
  control_plane_count  = 3
  worker_count         = 2
  ssh_public_keys      = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyThatOpensNothing admin@example"]
  external_network     = "public"
  image_name           = "debian-12"
  control_plane_flavor = "medium"
  worker_flavor        = "large"
  admin_cidrs          = ["198.51.100.0/24", "192.0.2.1/32"]
}

run "counts_and_sizes" {
  assert {
    condition = jsonencode({ for name, machine in openstack_compute_instance_v2.node : name => machine.flavor_name }) == jsonencode({
      "tiny-control-plane-0" = "medium"
      "tiny-control-plane-1" = "medium"
      "tiny-control-plane-2" = "medium"
      "tiny-worker-0"        = "large"
      "tiny-worker-1"        = "large"
    })
    error_message = "The machines are ${jsonencode(keys(openstack_compute_instance_v2.node))}."
  }

  assert {
    condition     = alltrue([for name, port in openstack_networking_port_v2.node : port.fixed_ip[0].ip_address == module.nodes.nodes[name].ip])
    error_message = "A port has another address than the inventory says."
  }

  assert {
    condition     = alltrue([for name, machine in openstack_compute_instance_v2.node : machine.network[0].port == openstack_networking_port_v2.node[name].id])
    error_message = "A machine does not stand at its own port."
  }
}

run "control_planes_never_share_a_host" {
  assert {
    condition = (
      openstack_compute_servergroup_v2.control_plane.policies == tolist(["anti-affinity"]) &&
      openstack_compute_servergroup_v2.worker.policies == tolist(["soft-anti-affinity"])
    )
    error_message = "The policies of the server groups are not those that keep etcd's majority."
  }

  assert {
    condition = alltrue([for name, machine in openstack_compute_instance_v2.node : one(machine.scheduler_hints).group == (
      startswith(name, "tiny-control-plane") ? openstack_compute_servergroup_v2.control_plane.id : openstack_compute_servergroup_v2.worker.id
    )])
    error_message = "A machine is in the other role's server group."
  }
}

run "only_admins_reach_the_entry" {
  assert {
    condition = { for rule in values(openstack_networking_secgroup_rule_v2.entry) :
      "${rule.direction} ${rule.protocol} ${rule.port_range_min}-${rule.port_range_max}" => rule.remote_ip_prefix... } == {
      "ingress tcp 22-22"     = ["192.0.2.1/32", "198.51.100.0/24"]
      "ingress tcp 6443-6443" = ["192.0.2.1/32", "198.51.100.0/24"]
    }
    error_message = "The rules of the entry are ${jsonencode(openstack_networking_secgroup_rule_v2.entry)}."
  }

  assert {
    condition = [for name, port in openstack_networking_port_v2.node : name
    if contains(port.security_group_ids, openstack_networking_secgroup_v2.entry.id)] == ["tiny-control-plane-0"]
    error_message = "The entry's rules hold for another node than the first control plane, or for none."
  }
}

run "nodes_and_pods_reach_each_other_and_nobody_else_reaches_them" {
  assert {
    condition = [for rule in values(openstack_networking_secgroup_rule_v2.node) : coalesce(rule.remote_ip_prefix, "the group itself")
      if rule.direction == "ingress" && coalesce(rule.remote_group_id, "none") != openstack_networking_secgroup_v2.node.id
    ] == ["10.244.0.0/16"]
    error_message = "The rules of the nodes are ${jsonencode(openstack_networking_secgroup_rule_v2.node)}."
  }

  assert {
    condition     = length([for rule in values(openstack_networking_secgroup_rule_v2.node) : rule if rule.direction == "ingress"]) == 2
    error_message = "The rules of the nodes are ${jsonencode(openstack_networking_secgroup_rule_v2.node)}."
  }

  assert {
    condition     = alltrue([for port in values(openstack_networking_port_v2.node) : [for pair in port.allowed_address_pairs : pair.ip_address] == ["10.244.0.0/16"]])
    error_message = "A port drops what pods send."
  }

  assert {
    condition     = openstack_networking_secgroup_v2.node.delete_default_rules && openstack_networking_secgroup_v2.entry.delete_default_rules
    error_message = "A group keeps the rules that OpenStack adds by itself."
  }
}

run "the_gateway_opens_only_to_who_is_named" {
  variables {
    gateway_cidrs = ["0.0.0.0/0"]
  }

  assert {
    condition = [for rule in values(openstack_networking_secgroup_rule_v2.entry) : rule.port_range_min
    if rule.remote_ip_prefix == "0.0.0.0/0"] == [30000]
    error_message = "The rules of the entry are ${jsonencode(openstack_networking_secgroup_rule_v2.entry)}."
  }
}

run "an_air_gapped_cluster_sends_nothing_out" {
  variables {
    egress_cidrs = []
  }

  assert {
    condition = join(" ", sort([for rule in values(openstack_networking_secgroup_rule_v2.node) : rule.remote_ip_prefix
    if rule.direction == "egress"])) == "10.20.0.0/24 10.244.0.0/16"
    error_message = "The rules of the nodes are ${jsonencode(openstack_networking_secgroup_rule_v2.node)}."
  }
}

run "the_object_store_has_a_disk_on_the_first_worker" {
  assert {
    condition = (
      openstack_blockstorage_volume_v3.data.size == 100 &&
      openstack_compute_volume_attach_v2.data.volume_id == openstack_blockstorage_volume_v3.data.id &&
      openstack_compute_volume_attach_v2.data.instance_id == openstack_compute_instance_v2.node["tiny-worker-0"].id
    )
    error_message = "The volume is not attached to the first worker."
  }
}

run "the_way_in_leads_to_the_first_control_plane" {
  assert {
    condition = (
      output.entry == "203.0.113.7" &&
      openstack_networking_floatingip_associate_v2.entry.port_id == openstack_networking_port_v2.node["tiny-control-plane-0"].id
    )
    error_message = "The floating address does not lead to the first control plane."
  }
}

run "the_inventory_is_what_ansible_reads" {
  assert {
    condition = jsonencode(yamldecode(output.inventory)) == jsonencode({ cluster = {
      vars = { pod_network = "10.244.0.0/16" }
      children = {
        control_plane = { hosts = {
          "tiny-control-plane-0" = { ansible_host = "203.0.113.7", ansible_user = "segue", node_ip = "10.20.0.10" }
          "tiny-control-plane-1" = {
            ansible_host            = "10.20.0.11", ansible_user = "segue", node_ip = "10.20.0.11",
            ansible_ssh_common_args = "-o ProxyJump=segue@203.0.113.7"
          }
          "tiny-control-plane-2" = {
            ansible_host            = "10.20.0.12", ansible_user = "segue", node_ip = "10.20.0.12",
            ansible_ssh_common_args = "-o ProxyJump=segue@203.0.113.7"
          }
        } }
        workers = { hosts = {
          "tiny-worker-0" = {
            ansible_host            = "10.20.0.50", ansible_user = "segue", node_ip = "10.20.0.50",
            ansible_ssh_common_args = "-o ProxyJump=segue@203.0.113.7",
            data_disk               = "/dev/disk/by-id/virtio-4f2c1d7e-9a63-4b0e-8"
          }
          "tiny-worker-1" = {
            ansible_host            = "10.20.0.51", ansible_user = "segue", node_ip = "10.20.0.51",
            ansible_ssh_common_args = "-o ProxyJump=segue@203.0.113.7"
          }
        } }
      }
    } })
    error_message = "The inventory is ${output.inventory}"
  }
}

run "one_machine_is_enough" {
  variables {
    control_plane_count = 1
    worker_count        = 0
  }

  assert {
    condition     = openstack_compute_volume_attach_v2.data.instance_id == openstack_compute_instance_v2.node["tiny-control-plane-0"].id
    error_message = "The volume is not attached to the one machine."
  }

  assert {
    condition     = length(yamldecode(output.inventory).cluster.children.workers.hosts) == 0
    error_message = "The inventory is ${output.inventory}"
  }
}
