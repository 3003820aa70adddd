// Command proto writes, on standard output, the CodeGeneratorRequest that protoc-gen-es turns into gen/proto.
//
// The descriptors come from the Go modules pinned in go.mod. They are pruned to what an encoder needs: custom options,
// language options, comments and the files that only define options go, so that the embedded descriptors stay small.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// Files that only carry annotations. Nothing refers to their messages once options are stripped.
var annotationFiles = []string{
	"envoy/annotations/", "udpa/annotations/", "xds/annotations/", "validate/", "gogoproto/", "openapi/",
	"google/api/", "protoc-gen-openapiv2/", "google/protobuf/go_features",
}

// Packages linked in by Go code that have no place on the wire here.
var roots = []string{
	"envoy/", "xds/", "google/rpc/status.proto", "grpc/health/", "analysis/", "extensions/", "mcp/", "mesh/", "meta/", "networking/",
	"security/", "telemetry/", "type/",
}

func hasPrefix(path string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// pathOf gives a file its place under gen/proto: Istio's short paths ("type/v1beta1/…") get a folder of their own.
func pathOf(fd protoreflect.FileDescriptor) string {
	if strings.HasPrefix(string(fd.Package()), "istio.") {
		return "istio/" + fd.Path()
	}
	return fd.Path()
}

// order lists every file reachable from the roots, each after what it imports.
func order(files []protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	seen := map[string]bool{}
	var out []*descriptorpb.FileDescriptorProto
	var visit func(fd protoreflect.FileDescriptor)
	visit = func(fd protoreflect.FileDescriptor) {
		if seen[fd.Path()] {
			return
		}
		seen[fd.Path()] = true
		pruned, imports := prune(fd)
		for _, dep := range imports {
			visit(dep)
		}
		out = append(out, pruned)
	}
	for _, fd := range files {
		visit(fd)
	}
	return out
}

// prune copies a file without options, extensions and the imports that only they needed.
func prune(fd protoreflect.FileDescriptor) (*descriptorpb.FileDescriptorProto, []protoreflect.FileDescriptor) {
	file := protodesc.ToFileDescriptorProto(fd)
	file.Name = proto.String(pathOf(fd))
	file.SourceCodeInfo = nil
	file.Options = nil
	file.Extension = nil
	file.WeakDependency = nil
	used := map[string]protoreflect.FileDescriptor{}
	for i, m := range file.MessageType {
		pruneMessage(m, fd.Messages().Get(i), used)
	}
	for _, e := range file.EnumType {
		pruneEnum(e)
	}
	for i, s := range file.Service {
		s.Options = nil
		for j, m := range s.Method {
			m.Options = nil
			method := fd.Services().Get(i).Methods().Get(j)
			used[method.Input().ParentFile().Path()] = method.Input().ParentFile()
			used[method.Output().ParentFile().Path()] = method.Output().ParentFile()
		}
	}
	delete(used, fd.Path())
	imports := make([]protoreflect.FileDescriptor, 0, len(used))
	for _, dep := range used {
		imports = append(imports, dep)
	}
	sort.Slice(imports, func(i, j int) bool { return pathOf(imports[i]) < pathOf(imports[j]) })
	file.Dependency, file.PublicDependency = nil, nil
	for _, dep := range imports {
		file.Dependency = append(file.Dependency, pathOf(dep))
	}
	return file, imports
}

func pruneMessage(m *descriptorpb.DescriptorProto, md protoreflect.MessageDescriptor, used map[string]protoreflect.FileDescriptor) {
	m.Extension = nil
	m.ReservedName, m.ReservedRange = nil, nil
	if m.GetOptions().GetMapEntry() {
		m.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	} else {
		m.Options = nil
	}
	for i, f := range m.Field {
		f.Options = pruneField(f)
		field := md.Fields().Get(i)
		if field.Message() != nil {
			used[field.Message().ParentFile().Path()] = field.Message().ParentFile()
		}
		if field.Enum() != nil {
			used[field.Enum().ParentFile().Path()] = field.Enum().ParentFile()
		}
	}
	for _, o := range m.OneofDecl {
		o.Options = nil
	}
	for _, e := range m.EnumType {
		pruneEnum(e)
	}
	for i, nested := range m.NestedType {
		pruneMessage(nested, md.Messages().Get(i), used)
	}
}

// pruneField keeps what changes the wire format (packed) and what a reader must know (deprecated).
func pruneField(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldOptions {
	options := &descriptorpb.FieldOptions{}
	if f.GetOptions() == nil {
		return nil
	}
	options.Packed = f.Options.Packed
	options.Deprecated = f.Options.Deprecated
	if options.Packed == nil && options.Deprecated == nil {
		return nil
	}
	return options
}

func pruneEnum(e *descriptorpb.EnumDescriptorProto) {
	e.ReservedName, e.ReservedRange = nil, nil
	if e.GetOptions().GetAllowAlias() {
		e.Options = &descriptorpb.EnumOptions{AllowAlias: proto.Bool(true)}
	} else {
		e.Options = nil
	}
	for _, v := range e.Value {
		v.Options = nil
	}
}

func run(parameter string) error {
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		if hasPrefix(fd.Path(), roots) && !hasPrefix(fd.Path(), annotationFiles) {
			files = append(files, fd)
		}
		return true
	})
	sort.Slice(files, func(i, j int) bool { return files[i].Path() < files[j].Path() })
	request := &pluginpb.CodeGeneratorRequest{Parameter: proto.String(parameter)}
	for _, file := range order(files) {
		request.ProtoFile = append(request.ProtoFile, file)
		// Well-known types come with @bufbuild/protobuf.
		if !strings.HasPrefix(file.GetName(), "google/protobuf/") {
			request.FileToGenerate = append(request.FileToGenerate, file.GetName())
		}
	}
	fmt.Fprintf(os.Stderr, "%d files\n", len(request.FileToGenerate))
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(bytes)
	return err
}

func main() {
	if err := run("target=js+dts,import_extension=js"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
