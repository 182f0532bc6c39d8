/*
 * Adds tiles that survfuse scored to the image that is open in QuPath (0.4 or later).
 *
 * 1. Put the table named below beside the slide or into the folder of the project,
 *    or write its whole path into `path`.
 * 2. Open the slide, then this file in Automate > Script editor, and choose Run.
 * 3. Show the scores by Measure > Show measurement maps.
 *
 * Running it again replaces the tiles it added. For research use only.
 */
import qupath.lib.objects.PathObjects
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.ROIs

def path = ''                // the whole path of the table; '': it is looked for
def table = @TABLE@
def name = @NAME@            // of every tile, by which earlier ones are found
double side = @SIDE@         // of a tile, px
int width = @WIDTH@          // of the image the tiles belong to, px; 0: not known
int height = @HEIGHT@
def measurements = [
    @MEASUREMENTS@
]
def colours = [@COLOURS@]

def server = getCurrentServer()
if (server == null) {
    throw new IllegalStateException('Open the slide first.')
}
if (width > 0 && (server.getWidth() != width || server.getHeight() != height)) {
    throw new IllegalStateException(
        "The open image has ${server.getWidth()} x ${server.getHeight()} px, the tiles belong to " +
        "one of ${width} x ${height}: another slide, or read with another origin " +
        "(survfuse explain --maps --origin full or bounds).")
}

def places = []
if (path) {
    places << new File(path)
} else {
    server.getURIs().findAll { it.getScheme() == 'file' }.each {
        places << new File(new File(it).getParentFile(), table)
    }
    if (getProject() != null) {
        places << new File(buildFilePath(PROJECT_BASE_DIR, table))
    }
}
def file = places.find { it.isFile() }
if (file == null) {
    throw new FileNotFoundException("No such file: ${places.join(', ')}. Write its path into `path`.")
}

def classes = [:]
def tiles = []
def plane = ImagePlane.getDefaultPlane()
file.withReader('UTF-8') { reader ->
    reader.readLine()        // the names of the columns
    for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        def cells = line.split(',', -1)
        def roi = ROIs.createRectangleROI(cells[0] as double, cells[1] as double, side, side, plane)
        int cluster = cells[2] as int
        def tileClass = null
        if (cluster >= 0) {
            tileClass = classes.computeIfAbsent(cluster) {
                getPathClass("Cluster " + it, colours[it % colours.size()])
            }
        }
        def tile = PathObjects.createTileObject(roi, tileClass, null)
        tile.setName(name)
        def list = tile.getMeasurementList()
        measurements.eachWithIndex { measurement, number ->
            def cell = cells[number + 3]
            if (cell) {
                list.put(measurement, cell as double)
            }
        }
        list.close()
        tiles << tile
    }
}
removeObjects(getTileObjects().findAll { it.getName() == name }, true)
addObjects(tiles)
println "${tiles.size()} tiles added from ${file}"
