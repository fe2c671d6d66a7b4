#!/usr/bin/env node
// Placeholder so that the package builds before the command line is written.
process.stderr.write('nnetc: nothing to run yet\n');
process.exitCode = 2;
