/** Random tests draw the same cases in every run; `NNET_SEED=7 npm test` draws others. */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['NNET_SEED'] ?? 1) });
