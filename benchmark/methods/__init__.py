"""Methods: one way of learning a file. `conf/method/*.yaml` holds their settings."""
