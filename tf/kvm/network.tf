data "openstack_networking_network_v2" "external" {
  name     = var.external_network
  external = true
}

resource "openstack_networking_network_v2" "nodes" {
  name = var.cluster_name
}

resource "openstack_networking_subnet_v2" "nodes" {
  name            = var.cluster_name
  network_id      = openstack_networking_network_v2.nodes.id
  cidr            = var.network_cidr
  dns_nameservers = var.dns_servers

  # What the cloud hands out by itself stays clear of the addresses that modules/nodes gives: 10 and on, 50 and on.
  allocation_pool {
    start = cidrhost(var.network_cidr, 200)
    end   = cidrhost(var.network_cidr, 250)
  }
}

resource "openstack_networking_router_v2" "nodes" {
  name                = var.cluster_name
  external_network_id = data.openstack_networking_network_v2.external.id
}

resource "openstack_networking_router_interface_v2" "nodes" {
  router_id = openstack_networking_router_v2.nodes.id
  subnet_id = openstack_networking_subnet_v2.nodes.id
}

resource "openstack_networking_port_v2" "node" {
  for_each = module.nodes.nodes

  name       = each.key
  network_id = openstack_networking_network_v2.nodes.id
  security_group_ids = concat(
    [openstack_networking_secgroup_v2.node.id],
    each.key == module.nodes.entry ? [openstack_networking_secgroup_v2.entry.id] : [],
  )

  fixed_ip {
    subnet_id  = openstack_networking_subnet_v2.nodes.id
    ip_address = each.value.ip
  }

  # Without this the cloud drops as forged what a pod sends to a pod of another node.
  allowed_address_pairs {
    ip_address = var.pod_cidr
  }
}

resource "openstack_networking_floatingip_v2" "entry" {
  pool        = var.external_network
  description = "Way in to ${var.cluster_name}: SSH and the Kubernetes API"
}

resource "openstack_networking_floatingip_associate_v2" "entry" {
  floating_ip = openstack_networking_floatingip_v2.entry.address
  port_id     = openstack_networking_port_v2.node[module.nodes.entry].id

  # A floating address finds its port only over a router that has an interface in the port's network.
  depends_on = [openstack_networking_router_interface_v2.nodes]
}
