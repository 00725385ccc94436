// Command etcd is etcd as its own repository builds it, for hosts whose distribution has none or one too old.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
