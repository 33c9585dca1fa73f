//go:build !unix

package conns

func descriptors() int { return fewDescriptors }
