// Brings what is new without a reload. Everything else works without it.
"use strict";
