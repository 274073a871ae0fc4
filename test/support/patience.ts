/** Hosts are made and timeouts of blocks run out: each wait has its own bound and name, this one is for the rest. */
import { jest } from '@jest/globals';

jest.setTimeout(60_000);
