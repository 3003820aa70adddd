import type { PrinterColumn } from '../../kind.ts';
import type { Target } from '../context.ts';
import { ageOf } from './age.ts';
import { builtinColumns } from './builtin-columns.ts';
import type { Column } from './column.ts';
import { compileJsonPath } from './json-path.ts';

const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique within its namespace.',
  priority: 0,
  cell: (object) => object.metadata.name,
};

const ageColumn: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

const cache = new WeakMap<object, Column[]>();

/** The columns of a kind: those users of Kubernetes know for its own kinds, else the printer columns, else name and age. */
export function columnsOf(target: Target): Column[] {
  let columns = cache.get(target.version);
  if (!columns) {
    columns = builtinColumns(target.kind) ?? printerColumns(target);
    cache.set(target.version, columns);
  }
  return columns;
}

function printerColumns(target: Target): Column[] {
  const defined = target.version.printerColumns.length > 0 ? target.version.printerColumns : [ageColumn];
  const columns = [nameColumn];
  for (const column of defined) {
    if (column.name.toLowerCase() === 'name' && column.jsonPath === '.metadata.name') continue;
    const path = compileJsonPath(column.jsonPath);
    columns.push({
      name: column.name,
      type: column.type,
      format: column.format ?? '',
      description: column.description ?? '',
      priority: column.priority ?? 0,
      cell: (object, now) => cellText(column.type, path?.(object)[0], now),
    });
  }
  return columns;
}

function cellText(type: string, value: unknown, now: number): unknown {
  if (value === undefined || value === null)
    return type === 'date' ? '<unknown>' : type === 'string' ? '' : null;
  switch (type) {
    case 'date':
      return ageOf(value, now);
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    default:
      return typeof value === 'string' ? value : JSON.stringify(value);
  }
}
