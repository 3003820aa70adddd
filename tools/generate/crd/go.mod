// Only pins the module whose CRDs are read; nothing here is compiled.
module ostria.dev/tools/generate/crd

go 1.26.0

require sigs.k8s.io/gateway-api v1.6.3
