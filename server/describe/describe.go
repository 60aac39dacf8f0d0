// Package describe tells of the API what its proto files say: an OpenAPI document
// that the daemon serves, and the reference page in docs. Both come from the files'
// descriptors with their comments, so neither can differ from what is served.
package describe

import (
	_ "embed" // of the descriptors
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/durationpb"  // the API's files import them
	_ "google.golang.org/protobuf/types/known/timestamppb" // and this one
)

// descriptors are those of the API's files: make generate.
//
//go:embed api.binpb
var descriptors []byte

// API is the whole of it, in the order of its files.
type API struct {
	files []protoreflect.FileDescriptor
}

// Load reads the descriptors that this program was built with.
func Load() (*API, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(descriptors, &set); err != nil {
		return nil, fmt.Errorf("read the API's descriptors: %w", err)
	}
	own := new(protoregistry.Files)
	a := &API{}
	for _, f := range set.GetFile() {
		d, err := protodesc.NewFile(f, &both{own})
		if err == nil {
			err = own.RegisterFile(d)
		}
		if err != nil {
			return nil, fmt.Errorf("read the API's descriptors: %s: %w", f.GetName(), err)
		}
		a.files = append(a.files, d)
	}
	return a, nil
}

// both finds the API's own files first, then those of the runtime.
type both struct{ own *protoregistry.Files }

func (b *both) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if d, err := b.own.FindFileByPath(path); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (b *both) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := b.own.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// Services of all files, by name.
func (a *API) Services() (all []protoreflect.ServiceDescriptor) {
	for _, f := range a.files {
		for i := range f.Services().Len() {
			all = append(all, f.Services().Get(i))
		}
	}
	slices.SortFunc(all, func(x, y protoreflect.ServiceDescriptor) int {
		return strings.Compare(string(x.Name()), string(y.Name()))
	})
	return all
}

// Path of a method, after the daemon's address.
func Path(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

func (a *API) messages() (all []protoreflect.MessageDescriptor) {
	for _, f := range a.files {
		for i := range f.Messages().Len() {
			all = append(all, f.Messages().Get(i))
		}
	}
	return all
}

func (a *API) enums() (all []protoreflect.EnumDescriptor) {
	for _, f := range a.files {
		for i := range f.Enums().Len() {
			all = append(all, f.Enums().Get(i))
		}
	}
	return all
}

// comment is what a file says of a thing, as one paragraph.
func comment(d protoreflect.Descriptor) string {
	return strings.Join(strings.Fields(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments), " ")
}
