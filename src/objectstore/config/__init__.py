"""Environment and storage.yaml → checked, frozen values → a backend."""
