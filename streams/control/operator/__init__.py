"""An operator's side: the fleet, a rollout over it, the writer of states, the audit log."""
