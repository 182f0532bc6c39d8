// Starts the page about a patient, with data from the file itself.

import { byId } from "./dom.js";
import { ExportSource } from "./export_source.js";
import { PatientPage } from "./patient.js";

const page = new PatientPage(new ExportSource(JSON.parse(byId("content").textContent)));
page.open().catch((error) => page.refuse(error.message));
