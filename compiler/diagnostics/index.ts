/** Problems made readable: codes explained, rendered as text or JSON, names suggested. */
export { type Catalogue, catalogue, helpOf, messageOf } from './catalogues.ts';
export { type LabelJson, type PlaceJson, type ProblemJson, problemToJson } from './json.ts';
export { ansi, type Paint, type Palette, plain } from './palette.ts';
export {
  mainLabel,
  type RenderOptions,
  renderProblem,
  renderProblems,
  renderTold,
  summaryOf,
  type Told,
} from './render.ts';
export { didYouMean, suggest, suggestions } from './suggest.ts';
