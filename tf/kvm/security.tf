# Who may send what to whom. A group begins empty: the rules that OpenStack adds by itself are deleted.

locals {
  # key => rule; the key names the rule in the state, so that one source more or less touches no other rule.
  node_rules = merge(
    {
      # Between nodes every port: a pod listens where it likes, and a service or the API reaches it from a node's address.
      # etcd and the kubelets stand behind mutual TLS.
      "from nodes" = { direction = "ingress", group = "node" }
      "from pods"  = { direction = "ingress", cidr = var.pod_cidr }
      "to nodes"   = { direction = "egress", cidr = var.network_cidr }
      "to pods"    = { direction = "egress", cidr = var.pod_cidr }
    },
    { for cidr in var.egress_cidrs : "to ${cidr}" => { direction = "egress", cidr = cidr } },
  )

  entry_rules = merge(
    { for cidr in var.admin_cidrs : "ssh from ${cidr}" => { port = 22, cidr = cidr } },
    { for cidr in var.admin_cidrs : "kubernetes from ${cidr}" => { port = 6443, cidr = cidr } },
    { for pair in setproduct(var.gateway_ports, var.gateway_cidrs) :
    "gateway ${pair[0]} from ${pair[1]}" => { port = pair[0], cidr = pair[1] } },
  )
}

resource "openstack_networking_secgroup_v2" "node" {
  name                 = "${var.cluster_name}-node"
  description          = "Every node of ${var.cluster_name}"
  delete_default_rules = true
}

resource "openstack_networking_secgroup_v2" "entry" {
  name                 = "${var.cluster_name}-entry"
  description          = "The one node of ${var.cluster_name} that is reached from outside"
  delete_default_rules = true
}

resource "openstack_networking_secgroup_rule_v2" "node" {
  for_each = local.node_rules

  description       = each.key
  security_group_id = openstack_networking_secgroup_v2.node.id
  direction         = each.value.direction
  ethertype         = "IPv4"
  remote_ip_prefix  = try(each.value.cidr, null)
  remote_group_id   = try(each.value.group, null) == null ? null : openstack_networking_secgroup_v2.node.id
}

resource "openstack_networking_secgroup_rule_v2" "entry" {
  for_each = local.entry_rules

  description       = each.key
  security_group_id = openstack_networking_secgroup_v2.entry.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = each.value.port
  port_range_max    = each.value.port
  remote_ip_prefix  = each.value.cidr
}
