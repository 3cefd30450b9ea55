output "nodes" {
  description = "name => {role, ip}; the role is control_plane or worker."
  value       = local.nodes
}

output "cloud_init" {
  description = "name => user data of the first boot; it holds public keys and no secret."
  value       = local.cloud_init
}

output "entry" {
  description = "Name of the control plane that admins reach first; the others stand behind it."
  value       = "${var.cluster_name}-control-plane-0"
}

output "data_node" {
  description = "Name of the node that carries the object store's disk: a worker where there is one."
  value       = var.worker_count > 0 ? "${var.cluster_name}-worker-0" : "${var.cluster_name}-control-plane-0"
}
