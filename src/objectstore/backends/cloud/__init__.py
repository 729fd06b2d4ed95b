"""Object stores of clouds: `stores` has what `storage.yaml` names, `backend` what they share; a medium is a service."""
