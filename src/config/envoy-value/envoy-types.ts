import { createRegistry, type Registry } from '@bufbuild/protobuf';
import {
  AnySchema,
  DurationSchema,
  EmptySchema,
  StructSchema,
  TimestampSchema,
  ValueSchema,
} from '@bufbuild/protobuf/wkt';
import { envoyFiles } from '../../../gen/proto/envoy-files.js';

/** Every message of Envoy's that we know, by its name: what an `Any` is read and written with. */
export const envoyTypes: Registry = createRegistry(
  ...envoyFiles,
  AnySchema,
  DurationSchema,
  EmptySchema,
  StructSchema,
  TimestampSchema,
  ValueSchema,
);

/** `type.googleapis.com/envoy.config.core.v3.Node` → `envoy.config.core.v3.Node` */
export function typeNameOf(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
}
