using System.Reflection;
using Kernels.Bindings;

// exports FILE: C# of an export for each op, made from the public API of Kernels.
// header ASSEMBLY FOLDER: kernels.h and kernels.json, made from the exports of Kernels.Native.
// functions ASSEMBLY FILE: the list of functions for native/library/library.c.
switch (args)
{
    case ["exports", string file]:
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!);
        File.WriteAllText(file, ExportWriter.Write());
        return 0;
    case ["header", string assembly, string folder]:
        Interface exports = Interface.Of(Assembly.LoadFrom(Path.GetFullPath(assembly)));
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "kernels.h"), HeaderWriter.Write(exports));
        File.WriteAllText(Path.Combine(folder, "kernels.json"), TableWriter.Write(exports));
        return 0;
    case ["functions", string assembly, string file]:
        File.WriteAllText(file, FunctionsWriter.Write(Interface.Of(Assembly.LoadFrom(Path.GetFullPath(assembly)))));
        return 0;
    default:
        Console.Error.WriteLine("usage: Kernels.Bindings exports FILE | header ASSEMBLY FOLDER | functions ASSEMBLY FILE");
        return 2;
}
