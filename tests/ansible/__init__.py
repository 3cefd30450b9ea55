"""The playbooks."""
