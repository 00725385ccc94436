"""From a package name to a verified, deterministic bundle in the OCI registry. Nothing of the package is ever executed.

job      one intake from request to outcome: cached? -> fetch -> bundle -> push
npm, pypi       the two ecosystems: resolve, plan, download, verify, unpack
npm_lock, pypi_lock, facts   pure: what the resolver's answer means
http, tools     the only ways out: registries over HTTP, resolvers as child processes
"""
