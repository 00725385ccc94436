"""McpServer: from its spec to policy, Service and Deployment, and back to a status that tells the truth."""
