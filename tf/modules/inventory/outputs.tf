output "yaml" {
  description = "The inventory, as the text of a YAML file."
  value = join("\n", ["# Written by Terraform from its state; change the machines there, not here.", yamlencode({
    cluster = {
      vars = { pod_network = var.pod_cidr } # kubeadm has to give pods the addresses that the network lets through
      children = {
        control_plane = { hosts = { for name, host in local.hosts : name => host if var.nodes[name].role == "control_plane" } }
        workers       = { hosts = { for name, host in local.hosts : name => host if var.nodes[name].role == "worker" } }
      }
    }
  })])
}
