/** Loaded data against what the program was compiled for. Browser-safe. */
import type { TaskInfo } from '../../compiler/plan.ts';
import { problem } from '../problems.ts';
import type { Dataset } from './column.ts';
import { checkLabels } from './column.ts';

/**
 * Throws when a field is missing (E0711) or a value that indexes a dimension is beyond it (E0708): a plan reads nothing
 * there, so a wrong label would go unseen.
 */
export function checkData(info: TaskInfo, data: ReadonlyMap<string, Dataset>): void {
  for (const source of info.data) {
    const held = data.get(source.name);
    if (!held) continue;
    for (const [name, field] of Object.entries(source.fields)) {
      const column = held.columns.get(name);
      if (!column)
        throw problem('E0711', { field: name, source: source.name, fields: [...held.columns.keys()] });
      if (field.limit !== undefined) checkLabels(column, field.limit);
    }
  }
}
