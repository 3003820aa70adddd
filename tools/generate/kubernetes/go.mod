module ostria.io/tools/generate/kubernetes

go 1.23.0

require (
	k8s.io/api v0.32.4
	k8s.io/apimachinery v0.32.4
)
