# Nodes reach out through the host's address; from outside the host nobody reaches them, so no further rules are needed.
# Between nodes the bridge passes every address, those of pods included.
resource "libvirt_network" "nodes" {
  name      = var.cluster_name
  mode      = "nat"
  domain    = "${var.cluster_name}.internal"
  addresses = [var.network_cidr]
  autostart = true

  dns {
    enabled    = true
    local_only = true
  }

  # Each machine's address is fixed by its network_interface.
  dhcp {
    enabled = true
  }
}
