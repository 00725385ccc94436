"""Programs that run elsewhere than in the test process: in the cluster's network, or inside pods."""
