# The one place where machines become what Ansible reads. docs/machines.md describes the format.

terraform {
  required_version = ">= 1.11, < 2.0"
}

locals {
  hosts = { for name, node in var.nodes : name => merge(
    {
      ansible_host = lookup(var.public_ips, name, node.ip)
      ansible_user = var.ssh_user
      node_ip      = node.ip
    },
    # Who has a public address is reached directly, everybody else through the jump host, if there is one.
    var.jump_host == null || contains(keys(var.public_ips), name) ? {} : {
      ansible_ssh_common_args = "-o ProxyJump=${coalesce(var.jump_host, "none")}"
    },
    name == var.data_node ? { data_disk = var.data_disk } : {},
  ) }
}
